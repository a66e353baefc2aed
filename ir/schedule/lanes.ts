import type { Kernel } from '../kernel/nodes.ts';
import type { RegionPlan } from './region-plan.ts';
import type { ScanRequest } from './scan-request.ts';
export type LanesParameters = { readonly kind: 'lanes' };
export function lanesGroups(_plan: RegionPlan, _parameters: LanesParameters): number { return 1; }
export function emitLanesScan(_request: ScanRequest, _parameters: LanesParameters): Kernel { throw new Error('soon'); }
