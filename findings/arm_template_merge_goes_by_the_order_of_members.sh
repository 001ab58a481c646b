#!/usr/bin/env bash
# npm arm-template-merge 1.1.5, two ARM templates with the same parts: a parameter {"type", "defaultValue"} and {"defaultValue", "type"}
# "cannot be merged"; a resource whose members stand in another order is taken twice; location and Location are two parameters. With the
# same order and capitals all three become one.
#
# Expected: RFC 8259 section 4: the order of an object's members means nothing (and writers of templates, Bicep among them, choose their
# own). Azure's manual, "ARM template functions": variables('var1') and VARIABLES('VAR1') are one and the same.
# Why it matters: the merged file of a solution template deploys one resource twice, which Azure refuses ("defined multiple times"), or the
# merge of what two editors wrote ends with "values are different".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts arm-template-merge@1.1.5
cat >run.cjs <<'JS'
const merge = require('arm-template-merge');
const template = (more) => ({ contentVersion: '1.0.0.0', ...more });
const parameter = (name, value) => template({ parameters: { [name]: value } });
const typeFirst = { type: 'string', defaultValue: 'x' }, typeLast = { defaultValue: 'x', type: 'string' };
const vault = { type: 'Microsoft.KeyVault/vaults', name: 'vault' };
const cases = {
  'parameter, same order': [parameter('location', typeFirst), parameter('location', { ...typeFirst })],
  'parameter, another order': [parameter('location', typeFirst), parameter('location', typeLast)],
  'parameter, capital': [parameter('location', typeFirst), parameter('Location', typeFirst)],
  'resource, same order': [template({ resources: [vault] }), template({ resources: [{ ...vault }] })],
  'resource, another order': [template({ resources: [vault] }), template({ resources: [{ name: vault.name, type: vault.type }] })],
};
for (const [name, [one, two]] of Object.entries(cases)) {
  let word;
  try {
    const { parameters, resources } = merge(one, two);
    word = `${Object.keys(parameters ?? resources).length} in the merged template`;
  } catch (error) {
    word = error.message;
  }
  console.log(`${name}: ${word}`);
}
JS
node run.cjs >seen
echo "arm-template-merge 1.1.5"
cat seen
diff seen - <<'SEEN'
parameter, same order: 1 in the merged template
parameter, another order: Property "parameters.location" cannot be merged. Source and target values are different.
parameter, capital: 2 in the merged template
resource, same order: 1 in the merged template
resource, another order: 2 in the merged template
SEEN
