#!/usr/bin/env bash
# A control file of a package, whose description has a line " Version: ..." and whose Depends goes on in a line that begins with a tab:
#  - PyPI deb-parse 0.1.1 answers with the version out of the description; a line with "* verbatim: ..." becomes a field, too;
#  - PyPI debian-parser 0.1.2 lists a second field Version;
#  - PyPI debx 0.2.13 makes a field "libfoo (= 1" of the line with the tab and ends Depends after its first line; what it writes
#    of the paragraph again is refused by dpkg-deb.
#
# Expected: Debian Policy 5.1: a line that begins with a space or a tab continues the field; 5.6.13: lines of the description that begin with two
# or more spaces are shown verbatim. PyPI python-debian 1.1.1 and debian-inspector 31.1.1 read it so, and so does dpkg-deb here.
# Why it matters: what an image's packages are, and which version, is read from var/lib/dpkg/status with such parsers; whoever
# writes a description then decides what a scanner sees.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install deb-parse==0.1.1 debian-parser==0.1.2 debx==0.2.13 python-debian==1.1.1 debian-inspector==31.1.1
mkdir -p root/DEBIAN
printf '%s\n' 'Package: example' 'Version: 1.0-1' 'Architecture: all' 'Maintainer: A <a@example.test>' 'Depends: libc6,' $'\tlibfoo (= 1:2.0-1)' \
  'Description: example' ' Version: 3 of the protocol is spoken.' '  * verbatim: yes' >root/DEBIAN/control
dpkg-deb -b root example.deb >/dev/null
cat >run.py <<'PY'
import warnings
warnings.simplefilter("ignore")
from deb_parse.parser import Parser
from debian_inspector.debcon import get_paragraph_data
from debian_parser import PackagesParser
from debian.deb822 import Deb822
import debx
text = open("root/DEBIAN/control").read()
print("deb-parse:", repr(Parser(text).raw_pkg_info[0]["details"]["version"]), sorted(Parser(text).raw_pkg_info[0]["details"]))
print("debian-parser:", [field["value"] for field in PackagesParser(text).parse()[0] if field["tag"] == "Version"])
paragraph = debx.Deb822.parse(text)
print("debx:", [(name, value) for name, value in paragraph.items() if "lib" in name + value])
print("python-debian:", Deb822(text)["Version"], repr(Deb822(text)["Depends"]))
found = get_paragraph_data(text)
print("debian-inspector:", found["version"], repr(found["depends"]))
open("root/DEBIAN/control", "w").write(paragraph.dump())
PY
venv/bin/python run.py >seen
echo "dpkg-deb: $(dpkg-deb -f example.deb Version Depends | tr '\n\t' '  ')" >>seen
if dpkg-deb -b root again.deb >/dev/null 2>error.txt; then echo "dpkg-deb takes what debx wrote"; else echo "dpkg-deb refuses what debx wrote"; fi >>seen
cat seen error.txt
diff seen - <<'SEEN'
deb-parse: '3 of the protocol is spoken.\n  *' ['architecture', 'depends', 'description', 'maintainer', 'verbatim', 'version']
debian-parser: ['1.0-1', '3 of the protocol is spoken.   * verbatim: yes']
debx: [('Depends', 'libc6,'), ('libfoo (= 1', '2.0-1)')]
python-debian: 1.0-1 'libc6,\n\tlibfoo (= 1:2.0-1)'
debian-inspector: 1.0-1 'libc6,\n\tlibfoo (= 1:2.0-1)'
dpkg-deb: Version: 1.0-1 Depends: libc6, libfoo (= 1:2.0-1) 
dpkg-deb refuses what debx wrote
SEEN
