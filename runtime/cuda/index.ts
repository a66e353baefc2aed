/** Running layers on NVIDIA GPUs, in Node on Linux, through the driver and NVRTC. */
export { listCudaDevices, openCuda, type CudaDevice, type CudaOptions, type CudaPreparedLayer } from './device.ts';
export { type CudaGraph } from './graph.ts';
