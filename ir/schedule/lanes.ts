import type { Kernel } from '../kernel/nodes.ts';
import type { RegionPlan } from './region-plan.ts';
import type { ScanRequest } from './scan-request.ts';
export type LanesParameters = { readonly kind: 'lanes' };
export function lanesGroups(_plan: RegionPlan, _parameters: LanesParameters): number { return 1; }
export function emitLanesScan(_request: ScanRequest, _parameters: LanesParameters): Kernel { throw new Error('soon'); }
export function lanesParametersFor(_plan: RegionPlan, _machine: unknown): (LanesParameters & { lanes: number; tile: number }) | null { return null; }
