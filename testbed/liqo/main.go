// Command liqo-chart prints what Liqo's own chart would put into a cluster, as a JSON list of objects.
//
// It reads the values (YAML or JSON) from its standard input and the chart from the folder named by its argument.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "liqo-chart:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: liqo-chart CHART-FOLDER < values.yaml")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	own, err := chartutil.ReadValues(text)
	if err != nil {
		return err
	}
	chart, err := loader.Load(os.Args[1])
	if err != nil {
		return err
	}
	release := chartutil.ReleaseOptions{Name: "liqo", Namespace: "liqo", Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, own, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return err
	}
	for _, crd := range chart.CRDObjects() {
		files[crd.Filename] = string(crd.File.Data)
	}
	return print(files)
}

func print(files map[string]string) error {
	names := make([]string, 0, len(files))
	for name := range files {
		if extension := path.Ext(name); extension == ".yaml" || extension == ".yml" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	objects := []map[string]any{}
	for _, name := range names {
		for _, part := range strings.Split("\n"+files[name], "\n---") {
			object := map[string]any{}
			if err := yaml.Unmarshal([]byte(part), &object); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if len(object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(objects)
}
