/** `import { S6 } from './s6.ssm'` in Vite. */
import { createVitePlugin, type UnpluginInstance } from 'unplugin';
import { statefusePlugin, type StatefuseOptions } from './plugin.ts';

export type { StatefuseOptions } from './plugin.ts';

/** The plugin: `plugins: [statefuse()]`. */
export const statefuse: UnpluginInstance<StatefuseOptions | undefined>['vite'] = createVitePlugin(statefusePlugin);
