#!/usr/bin/env bash
# Go github.com/facebookincubator/nvdtools v0.1.5 (package cvss3): a vector without any impact (C:N/I:N/A:N, scope unchanged)
# has a Base Score of up to 3.9 instead of 0.0. With scope changed the same vector has 0.0.
#
# Expected: CVSS v3.1 section 7.1: "If ImpactSubScore <= 0" then the Base Score is 0. The library tests "< 0"; with scope
# unchanged the sub-score is exactly 0, with scope changed it is a little below.
# Why it matters: vendors use such vectors to say "not exploitable in this image"; they then appear as a low-severity
# vulnerability, and the answer to "which images have any finding" changes. All other base vectors agree with PyPI cvss 3.6.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod
go mod init example/finding >/dev/null 2>&1
go get github.com/facebookincubator/nvdtools@v0.1.5 >/dev/null 2>&1
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/facebookincubator/nvdtools/cvss3"
)

func main() {
	fmt.Println("nvdtools v0.1.5")
	wrong, changed := 0, 0
	for _, version := range []string{"3.0", "3.1"} {
		for _, av := range "NALP" {
			for _, ac := range "LH" {
				for _, pr := range "NLH" {
					for _, ui := range "NR" {
						for _, s := range "UC" {
							text := fmt.Sprintf("CVSS:%s/AV:%c/AC:%c/PR:%c/UI:%c/S:%c/C:N/I:N/A:N", version, av, ac, pr, ui, s)
							vector, err := cvss3.VectorFromString(text)
							if err != nil {
								panic(err)
							}
							score := vector.BaseScore()
							if score > 0 && s == 'U' {
								wrong++
								if wrong == 1 || score == 3.9 {
									fmt.Println("  ", text, score, "(expected 0)")
								}
							}
							if score > 0 && s == 'C' {
								changed++
							}
						}
					}
				}
			}
		}
	}
	fmt.Printf("%d of 96 vectors without impact score above 0 (scope unchanged); %d with scope changed\n", wrong, changed)
	if wrong != 96 || changed != 0 {
		os.Exit(1)
	}
}
GO
go run .
