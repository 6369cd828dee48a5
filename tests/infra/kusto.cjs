// Reads queries with Microsoft's own parser of the Kusto language, the one that the Azure portal's editor uses.
//
// Standard input: {"packages": folder of npm packages, "tables": {table: "column: type, ..."}, "queries": {name: text}}.
// Standard output, for each query: what is wrong with it, the columns of its result, the events it names by comparing
// the column `event`, and the fields it takes out of the bag `fields`.
"use strict";

const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const { packages, tables, queries } = JSON.parse(readFileSync(0, "utf8"));
const kusto = join(packages, "@kusto", "language-service-next");
require(join(kusto, "bridge.min.js"));
require(join(kusto, "Kusto.Language.Bridge.min.js"));
const { GlobalState, KustoCode, Symbols, Syntax } = Kusto.Language;

const items = (list) => Array.from({ length: list.Count }, (_, index) => list.getItem(index));
const words = (node) => node.toString().trim();
const workspace = new Symbols.DatabaseSymbol.ctor(
  "workspace",
  Object.entries(tables).map(([name, columns]) => new Symbols.TableSymbol.$ctor7(name, `(${columns})`, "")),
);
const globals = GlobalState.Default.WithDatabase(workspace);

function* nodesUnder(node) {
  yield node;
  for (let index = 0; index < node.ChildCount; index++) {
    const child = node.GetChild(index);
    if (child) yield* nodesUnder(child);
  }
}

function literalsIn(node) {
  return [...nodesUnder(node)].filter((one) => one instanceof Syntax.LiteralExpression).map((one) => one.LiteralValue);
}

const TEXTS = new Set(["string", "dynamic"]);

// The parser lets a text be compared with a number, which is never true, and a value out of a bag with anything: the
// bags' values here are texts, so a number is never equal to one, nor below it.
function unlike(node) {
  const [left, right] = [node.Left, node.Right].map((side) => side.ResultType?.Name);
  return left !== right && (TEXTS.has(left) || TEXTS.has(right)) ? [`${left} is compared with ${right}: ${words(node)}`] : [];
}

const COMPARISONS = new Set(["==", "!=", "=~", "!~", "<", "<=", ">", ">="]);

function read(query) {
  const code = KustoCode.ParseAndAnalyze(query, globals);
  const nodes = [...nodesUnder(code.Syntax)];
  const comparisons = nodes.filter(
    (node) => (node instanceof Syntax.BinaryExpression || node instanceof Syntax.InExpression) && words(node.Left) === "event",
  );
  const compared = nodes.filter((node) => node instanceof Syntax.BinaryExpression && COMPARISONS.has(words(node.Operator)));
  const paths = nodes.filter((node) => node instanceof Syntax.PathExpression && words(node.Expression) === "fields");
  const elements = nodes.filter((node) => node instanceof Syntax.ElementExpression && words(node.Expression) === "fields");
  return {
    problems: [
      ...items(code.GetDiagnostics()).map((one) => `${one.Severity} ${one.Code} at ${one.Start}: ${one.Message}`),
      ...compared.flatMap(unlike),
    ],
    columns: Object.fromEntries(items(code.ResultType?.Columns ?? { Count: 0 }).map((one) => [one.Name, one.Type.Name])),
    events: comparisons.flatMap((node) => literalsIn(node.Right)),
    fields: [...paths.map((node) => words(node.Selector)), ...elements.flatMap((node) => literalsIn(node.Selector))],
  };
}

const readings = Object.fromEntries(Object.entries(queries).map(([name, text]) => [name, read(text)]));
process.stdout.write(JSON.stringify(readings));
