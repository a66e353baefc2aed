/** The runtime, whatever the device: layers by name, their states, and the device interface under them. */
export type { Artifact } from '../backends/artifact.ts';
export { loadLayer } from './layer.ts';
export type { DeviceRecord, GradientCall, GradientResult, Layer, LayerCall, LayerResult } from './layer.ts';
export type { LayerState } from './state.ts';
export type { HostNumbers, LayerRecord, LayerValue, ShapedNumbers } from './layer-values.ts';
export type {
  DeviceInfo, DeviceTensor, ExecutionDevice, PreparedLayer, RunRequest, RunResult, TensorData,
} from './device.ts';
export { defineLayer } from './typed-layer.ts';
export type {
  LayerModule, PackedArtifact, PackedLayer, StorageArrays, TensorInput, TensorOutput, TypedCall, TypedGradientCall,
  TypedGradientResult, TypedResult,
} from './typed-layer.ts';
