// Reads compose files and Dockerfiles with the libraries that Docker itself reads them with,
// and starts nothing. Prints what was found; exit status 1 and the mistake if there is one.
//
//	compose-check COMPOSE_FILE...
//
// Services of all profiles are loaded; the Dockerfile of each that is built is read as well.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-check COMPOSE_FILE...")
		os.Exit(2)
	}
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

func check(file string) error {
	// Without the environment: only the file's own defaults are filled in.
	options, err := cli.NewProjectOptions([]string{file}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		for _, volume := range service.Volumes {
			if volume.Type == "bind" {
				if _, err := os.Stat(volume.Source); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		if service.Build == nil {
			fmt.Printf("%s: %s\n", name, service.Image)
			continue
		}
		path := filepath.Join(service.Build.Context, service.Build.Dockerfile)
		if filepath.IsAbs(service.Build.Dockerfile) {
			path = service.Build.Dockerfile
		}
		stages, err := dockerfile(path)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, path, err)
		}
		fmt.Printf("%s: %s, built in %d stages\n", name, service.Image, stages)
	}
	return nil
}

func dockerfile(path string) (int, error) {
	text, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer text.Close()
	tree, err := parser.Parse(text)
	if err != nil {
		return 0, err
	}
	stages, _, err := instructions.Parse(tree.AST, nil)
	return len(stages), err
}
