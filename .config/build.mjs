/** Makes dist, the package's program, of src and of what .config/tsconfig.types.json has declared. */
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { bundle, bundlePull } from './bundle.mjs';

/** The dashboard's charts are drawn by uPlot. */
const CHARTS = ['uPlot.iife.min.js', 'uPlot.min.css'];

// What the package exports has declarations. Those of its inside are nobody's business.
await rename('dist/types/pull', 'dist/pull');
await rm('dist/types', { recursive: true });
await bundlePull('dist/pull/pull.js');
await bundle(`${process.cwd()}/dist/cli`, `${process.cwd()}/dist`);
await mkdir('dist/cluster/redis', { recursive: true });
await cp('src/cluster/redis/scripts', 'dist/cluster/redis/scripts', { recursive: true });
await cp('src/admin/dashboard', 'dist/admin/dashboard', { recursive: true });
for (const file of CHARTS) await cp(`node_modules/uplot/dist/${file}`, `dist/admin/dashboard/${file}`);
