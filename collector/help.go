package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The help is written in English where the commands are; help/ja.json has the Japanese
// of each text.
//
//go:embed help/ja.json
var helpFiles embed.FS

// helpJapanese returns the Japanese of the help by its English.
func helpJapanese() (map[string]string, error) {
	b, err := helpFiles.ReadFile("help/ja.json")
	if err != nil {
		return nil, err
	}
	var texts map[string]string
	if err := json.Unmarshal(b, &texts); err != nil {
		return nil, fmt.Errorf("read help: %w", err)
	}
	return texts, nil
}

// helpText is a text of the help in the person's language.
func (c *cli) helpText(english string) string {
	if c.japanese() {
		if texts, err := helpJapanese(); err == nil && texts[english] != "" {
			return texts[english]
		}
	}
	return english
}

// help writes what a command does and how it is used.
func (c *cli) help(cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintln(cmd.OutOrStdout(), c.helpText(about))
	c.writeUsage(cmd.OutOrStdout(), cmd)
}

func (c *cli) usage(cmd *cobra.Command) error {
	c.writeUsage(cmd.OutOrStderr(), cmd)
	return nil
}

func (c *cli) writeUsage(w io.Writer, cmd *cobra.Command) {
	section := func(title string, rows [][2]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s:\n", c.helpText(title))
		columns := 0
		for _, r := range rows {
			columns = max(columns, width(r[0]))
		}
		for _, r := range rows {
			fmt.Fprintf(w, "  %s%s  %s\n", r[0], strings.Repeat(" ", columns-width(r[0])), r[1])
		}
	}
	use := strings.Replace(cmd.UseLine(), "[flags]", "[OPTIONS]", 1)
	if cmd.HasAvailableSubCommands() {
		use = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(w, "\n%s:\n  %s\n", c.helpText("Usage"), use)
	var commands [][2]string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			commands = append(commands, [2]string{sub.Name(), c.helpText(sub.Short)})
		}
	}
	section("Commands", commands)
	section("Options", c.options(cmd.NonInheritedFlags()))
	section("Options of every command", c.options(cmd.InheritedFlags()))
	var rows [][2]string
	for _, r := range codes() {
		rows = append(rows, [2]string{fmt.Sprintf("%3d", r.code), c.helpText(r.text)})
	}
	if !cmd.HasParent() {
		section("Exit codes", rows)
		fmt.Fprintf(w, "\n%s\n", c.helpText("Each command has --help."))
	}
}

// options describes flags: spelling, and what they are for.
func (c *cli) options(flags *pflag.FlagSet) (rows [][2]string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		translated := *f
		translated.Usage = c.helpText(f.Usage)
		value, about := pflag.UnquoteUsage(&translated)
		spelling := "--" + f.Name
		if f.Shorthand != "" {
			spelling = "-" + f.Shorthand + ", " + spelling
		}
		if value != "" {
			spelling += " " + c.helpText(value)
		}
		if !slices.Contains([]string{"", "false", "0", "[]", time.Duration(0).String()}, f.DefValue) {
			about += c.helpText(" (default: ") + f.DefValue + c.helpText(")")
		}
		rows = append(rows, [2]string{spelling, about})
	})
	return rows
}
