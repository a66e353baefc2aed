/** All fuzzers. */
import type { FuzzTarget } from '../target.ts';
import { artifactTargets } from './artifacts.ts';
import { commandTargets } from './commands.ts';
import { fileTargets } from './files.ts';
import { programTargets } from './programs.ts';
import { textTargets } from './texts.ts';

export const fuzzTargets: readonly FuzzTarget[] = [...textTargets, ...fileTargets, ...artifactTargets, ...programTargets, ...commandTargets];
