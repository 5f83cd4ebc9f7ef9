// Reads an AsyncAPI document with AsyncAPI's own parser; prints what it finds wrong and how many channels there are.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const ERROR = 0, WARNING = 1;
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity === ERROR || severity === WARNING);
for (const { code, path, message } of wrong) console.log(`${code} at ${path.join(".")}: ${message}`);
if (!document || wrong.length > 0) process.exit(1);
console.log(`AsyncAPI ${document.version()}: ${document.channels().all().length} channels, ${document.operations().all().length} operations`);
