#!/bin/sh
# The C++ compiler, behind ccache when it is installed.
if command -v ccache >/dev/null 2>&1; then exec ccache g++ "$@"; fi
exec g++ "$@"
