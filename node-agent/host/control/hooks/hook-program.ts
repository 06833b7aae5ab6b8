/** A program that runs as root whenever something changes: nobody but root may be able to replace it. */
import { realpathSync, statSync } from "node:fs"
import { dirname, isAbsolute } from "node:path"

const writableByOthers = 0o022
const sticky = 0o1000
const executable = 0o111

/** Why it is refused, in one line for people; `undefined`: it may be run. Looked at anew before each run. */
export function hookProblem(path: string): string | undefined {
  if (!isAbsolute(path)) return `${path}: a hook is named by its absolute path`
  try {
    const program = realpathSync(path)
    const { mode, uid } = statSync(program)
    if (!statSync(program).isFile()) return `${path}: is not a file`
    if (uid !== 0) return `${path}: is not owned by root; run \`chown root ${program}\``
    if ((mode & writableByOthers) !== 0)
      return `${path}: group or others may write it (mode ${octal(mode)}); run \`chmod go-w ${program}\``
    if ((mode & executable) === 0) return `${path}: is not executable; run \`chmod u+x ${program}\``
    return foldersProblem(path, program)
  } catch (cause) {
    return `${path}: cannot be looked at: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/** Who may write a folder may put another program into it, unless the folder is sticky, as /tmp is. */
function foldersProblem(path: string, program: string): string | undefined {
  for (let folder = dirname(program); ; folder = dirname(folder)) {
    const { mode, uid } = statSync(folder)
    if (uid !== 0) return `${path}: ${folder} is not owned by root`
    if ((mode & writableByOthers) !== 0 && (mode & sticky) === 0)
      return `${path}: group or others may write ${folder} (mode ${octal(mode)}); run \`chmod go-w ${folder}\``
    if (folder === dirname(folder)) return undefined
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0")
}
