// Refuses to go on under a Node older than 24, which cannot run the TypeScript sources directly.
// Plain JavaScript on purpose: an old Node must be able to read it. Every npm script runs it first, because
// npm puts the pinned Node (optionalDependencies) first on the PATH only where such a package was installed; and so
// does the installed program.

const oldest = 24

if (Number(process.versions.node.split(".")[0]) < oldest) {
  console.error(
    `quorumbeat needs Node ${oldest} or newer, and this is ${process.versions.node} (${process.execPath}): ` +
      "use the one that `npm ci` installs for Linux x64 and arm64, through `npm run` or `npx`, or with " +
      "node_modules/.bin first on the PATH.",
  )
  process.exit(1)
}
