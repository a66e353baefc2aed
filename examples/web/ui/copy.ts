/** Copying from a button that says whether it worked. */

const shownMilliseconds = 1500;

/** Puts a text on the clipboard and the outcome on the button for a moment. */
export async function copyText(button: HTMLButtonElement, text: string): Promise<void> {
  const words = button.textContent;
  button.textContent = await navigator.clipboard.writeText(text).then(
    () => 'Copied',
    () => 'Not allowed',
  );
  setTimeout(() => (button.textContent = words), shownMilliseconds);
}
