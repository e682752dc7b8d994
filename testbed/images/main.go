// The programs of the testbed's container images, as one static binary: it is what the name it is called by says.
// An image consists of this file and links to it, so it needs no distribution, no registry and no build tool.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var roles = map[string]func(arguments []string) error{
	"pause":   pause,
	"init":    initProcess,
	"httpbin": httpbin,
	"curl":    curl,
	"sleep":   sleep,
	"stream":  stream,
	"source":  source,
	"capture": capture,
}

func main() {
	arguments := os.Args
	role, known := roles[filepath.Base(arguments[0])]
	if !known && len(arguments) > 1 {
		arguments = arguments[1:]
		role, known = roles[arguments[0]]
	}
	if !known {
		fmt.Fprintf(os.Stderr, "%s is none of pause, init, httpbin, curl, sleep, stream, source, capture\n", arguments[0])
		os.Exit(2)
	}
	if err := role(arguments[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(arguments[0]), err)
		os.Exit(1)
	}
}
