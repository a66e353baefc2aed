/**
 * Compiles kernels once per device. Layouts are written out from the manifest: automatic layouts drop
 * bindings that a kernel does not use, and then refuse the bind group that has them.
 */
import type { ManifestDispatch } from '../../backends/artifact.ts';
import { ssmError, type SsmError } from '../../support/diagnostic.ts';
import { firstLine, type Session } from './session.ts';
import { shaderStageCompute } from './usage.ts';

export type KernelPipeline = { readonly pipeline: GPUComputePipeline; readonly layout: GPUBindGroupLayout };

export type PipelineCache = {
  readonly get: (code: string, dispatch: ManifestDispatch, label: string) => Promise<KernelPipeline>;
};

function rejected(kernel: string, line: number | null, message: string): SsmError {
  const place = line === null ? '' : ` at line ${line}`;
  return ssmError(
    'SSM6006', `kernel \`${kernel}\` was rejected${place}: ${firstLine(message)}`,
    'report this with the layer\'s text',
  );
}

function createLayout(device: GPUDevice, dispatch: ManifestDispatch, label: string): GPUBindGroupLayout {
  const entries: GPUBindGroupLayoutEntry[] = dispatch.bindings.map(({ access }, binding) => ({
    binding, visibility: shaderStageCompute, buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
  }));
  if (dispatch.uniforms.length > 0) {
    entries.push({ binding: entries.length, visibility: shaderStageCompute, buffer: { type: 'uniform' } });
  }
  return device.createBindGroupLayout({ label, entries });
}

async function compile(
  session: Session, code: string, dispatch: ManifestDispatch, label: string,
): Promise<KernelPipeline> {
  const { device } = session;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label, code });
  const layout = createLayout(device, dispatch, label);
  const pipelineLayout = device.createPipelineLayout({ label, bindGroupLayouts: [layout] });
  const compute = { module, entryPoint: dispatch.kernel };
  const pending = device.createComputePipelineAsync({ label, layout: pipelineLayout, compute });
  const scope = device.popErrorScope();
  const failure = pending.then(() => null, (error: unknown) => error); // observed whatever happens first
  const information = await session.outlive(module.getCompilationInfo(), `compiling \`${dispatch.kernel}\``);
  const mistake = information.messages.find((each) => each.type === 'error');
  if (mistake !== undefined) throw rejected(dispatch.kernel, mistake.lineNum, mistake.message);
  const failed = await session.outlive(failure, `compiling \`${dispatch.kernel}\``);
  if (failed !== null) {
    throw rejected(dispatch.kernel, null, failed instanceof Error ? failed.message : String(failed));
  }
  const invalid = await session.outlive(scope, `compiling \`${dispatch.kernel}\``);
  if (invalid !== null) throw rejected(dispatch.kernel, null, invalid.message);
  return { pipeline: await pending, layout };
}

/** A cache for one device; equal text with equal bindings is compiled once. */
export function createPipelineCache(session: Session): PipelineCache {
  const known = new Map<string, Promise<KernelPipeline>>();
  return {
    get(code, dispatch, label) {
      const access = dispatch.bindings.map((each) => each.access);
      const key = JSON.stringify([dispatch.kernel, access, dispatch.uniforms.length, code]);
      const found = known.get(key);
      if (found !== undefined) return found;
      const made = compile(session, code, dispatch, label);
      known.set(key, made);
      made.catch(() => known.delete(key));
      return made;
    },
  };
}
