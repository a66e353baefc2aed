/**
 * Compiles kernels once per device. Layouts are written out from the manifest: automatic layouts drop
 * bindings that a kernel does not use, and then refuse the bind group that has them.
 */
import type { ManifestDispatch } from '../../backends/artifact.ts';
import { ssmError, type SsmError } from '../../support/diagnostic.ts';
import { firstLine, observed, type Session } from './session.ts';
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

type Begun = {
  readonly module: GPUShaderModule;
  readonly layout: GPUBindGroupLayout;
  readonly pending: Promise<GPUComputePipeline>;
  readonly scope: Promise<GPUError | null>;
};

/** Everything that the device is asked for, inside one error scope, which is closed whatever happens. */
function begin({ device, explain }: Session, code: string, dispatch: ManifestDispatch, label: string): Begun {
  device.pushErrorScope('validation');
  let scope: Promise<GPUError | null>;
  let begun: Omit<Begun, 'scope'>;
  try {
    const module = device.createShaderModule({ label, code });
    const layout = createLayout(device, dispatch, label);
    const pipelineLayout = device.createPipelineLayout({ label, bindGroupLayouts: [layout] });
    const pending = observed(device.createComputePipelineAsync({ label, layout: pipelineLayout, compute: { module, entryPoint: dispatch.kernel } }));
    begun = { module, layout, pending };
  } catch (error) {
    throw explain(error, `compiling \`${dispatch.kernel}\``);
  } finally {
    scope = observed(device.popErrorScope());
  }
  return { ...begun, scope };
}

async function compile(
  session: Session, code: string, dispatch: ManifestDispatch, label: string,
): Promise<KernelPipeline> {
  const { module, layout, pending, scope } = begin(session, code, dispatch, label);
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
