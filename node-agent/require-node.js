// Refuses to go on under a Node older than 24, which cannot run the TypeScript sources directly.
// Plain JavaScript on purpose: an old Node must be able to read it. Every npm script runs it first, because
// npm puts the pinned Node (optionalDependencies) first on the PATH only where such a package was installed.

const oldest = 24

if (Number(process.versions.node.split(".")[0]) < oldest) {
  console.error(
    `quorumbeat needs Node ${oldest} or newer; this is ${process.version} (${process.execPath}).\n` +
      "`npm ci` installs a pinned Node for Linux x64 and arm64; use it through `npm run` or `npx`, " +
      "or put a newer Node on the PATH.",
  )
  process.exit(1)
}
