#!/usr/bin/env node
// What the package starts. A linker starts with each instance, so its start-up time is a part of the wait of a client: its command is a file of its own.
const { enableCompileCache } = require('node:module');
const { join } = require('node:path');

// In the package's own directory: who may write there may also change the code. Where nobody may, there is none.
// Node 20 has none, and is told what it is.
enableCompileCache?.(join(__dirname, '../compile-cache'));
// A node begins again with other flags of V8: before all of its program is read.
if (process.argv[2] === 'node') require('./young-generation.cjs').boundYoungGeneration();
require(process.argv[2] === 'linker' ? './linker.cjs' : './program.cjs');
