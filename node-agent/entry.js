#!/usr/bin/env node
// What `quorumbeat` runs: says which Node is needed where this one is too old, and loads the agent otherwise. Plain JavaScript, and
// nothing is imported before that is known: an old Node ends with an error of its own at the first name it does not have.

import "./require-node.js"

import("./agent.js")
