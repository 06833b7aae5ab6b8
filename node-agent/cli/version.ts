/** `quorumbeat version`. */
import packageJson from "../../package.json" with { type: "json" }
import { type Command, exitStatus, parseOptions, print } from "./command.ts"

export const version: Command = {
  summary: "print the version",
  help: "Usage: quorumbeat version\n\nPrints the version of this program and of the Node it runs on.",
  async run(parameters) {
    parseOptions(parameters, {})
    print(`quorumbeat ${packageJson.version} (Node ${process.versions.node})`)
    return exitStatus.done
  },
}
