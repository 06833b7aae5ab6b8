/** `npm run openapi`: writes the API's description beside what it is made of. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { openApiDocument } from "../../worker/openapi.ts"

const file = join(import.meta.dirname, "../../worker/openapi.json")
writeFileSync(file, `${JSON.stringify(openApiDocument(), null, 2)}\n`)
