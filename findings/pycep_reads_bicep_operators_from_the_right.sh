#!/usr/bin/env bash
# PyPI pycep-parser 0.7.1 (under checkov): an operator of Bicep takes all that stands to its right. 10 - 2 - 3 is 10 - (2 - 3);
# !b && c is !(b && c); n - 1 == 0 is n - (1 == 0); n < m ? 'a' : 'b' is n < (m ? 'a' : 'b'); even 2 * 3 + 1 is 2 * (3 + 1).
# And of strings 'it\'s' and '\${x}' the backslash stays, so that a dollar that is text looks like an expression.
#
# Expected: Bicep's manual, "Bicep operators", precedence and associativity: unary before * / %, + -, comparison, equality, &&, ||, and
# ?: behind them; operators of one row are taken from left to right. "Data types in Bicep", strings: \' is an apostrophe, \${ a dollar and brace.
# Why it matters: checks of templates judge conditions such as "if (!public && production)" by this tree, and say the opposite.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install pycep-parser==0.7.1
cat >run.py <<'PY'
from pycep import BicepParser
signs = {"add": "+", "substract": "-", "multiply": "*", "equals": "==", "less_than": "<", "and": "&&", "or": "||"}
def text(value):
    if not isinstance(value, dict):
        return str(value)
    kind, parts = value["operator"]["type"], value["operator"]["operands"]
    inner = [text(part) for part in parts.values()]
    if kind == "conditional":
        return "({} ? {} : {})".format(*inner)
    return f"!{inner[0]}" if kind == "not" else f"({inner[0]} {signs[kind]} {inner[1]})"
for source in ["1 + 2 * 3", "2 * 3 + 1", "10 - 2 - 3", "!b && c", "n - 1 == 0", "b && c || d", "n < m ? 'a' : 'b'", r"'it\'s'", r"'\${x}'", "'${x}'"]:
    tree = BicepParser().parse(text=f"var it = {source}\n")
    print(f"{source:20}{text(tree['variables']['it']['value'])}")
PY
venv/bin/python run.py >seen
echo "pycep-parser 0.7.1"
cat seen
diff seen - <<'SEEN'
1 + 2 * 3           (1 + (2 * 3))
2 * 3 + 1           (2 * (3 + 1))
10 - 2 - 3          (10 - (2 - 3))
!b && c             !(b && c)
n - 1 == 0          (n - (1 == 0))
b && c || d         (b && (c || d))
n < m ? 'a' : 'b'   (n < (m ? a : b))
'it\'s'             it\'s
'\${x}'             \${x}
'${x}'              ${x}
SEEN
