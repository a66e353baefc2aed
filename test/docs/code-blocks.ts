/** Fenced blocks of a Markdown page with the line on which each begins. */

export type CodeBlock = { readonly language: string; readonly line: number; readonly text: string };

export function codeBlocks(page: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { language: string; line: number; lines: string[] } | null = null;
  page.split('\n').forEach((line, at) => {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) open?.lines.push(line);
    else if (open === null) open = { language: (fence[1] ?? '').trim(), line: at + 1, lines: [] };
    else {
      blocks.push({ language: open.language, line: open.line, text: `${open.lines.join('\n')}\n` });
      open = null;
    }
  });
  return blocks;
}
