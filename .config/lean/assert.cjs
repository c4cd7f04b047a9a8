/** In the place of node:assert in the linker's file: it is loaded when something is wrong, and not before. It takes 1 MB. */
module.exports = (value, message) => value || process.getBuiltinModule('node:assert')(value, message);
