package main

import (
	"context"
	"debug/buildinfo"
	"debug/elf"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hozen/collector/internal/localapi"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/usbkit"
)

const kitLong = `Make a USB kit: a folder, best on a USB stick, with which anybody can acquire evidence on a
PC that has no agent or no network. It holds the programs for Linux and Windows, a manual to
print, and what the kit is for. hozen-collector import reads what comes back.

The programs are taken from --agents, else from the folder packages in the data folder, else
from where hozen-collector itself lies: hozen-agent (Linux, amd64) and hozen-agent.exe (Windows,
amd64); hozen-agent-linux-amd64 and hozen-agent-windows-amd64.exe are taken too.

The kit asks in the language of --lang. For Linux, use a stick with exFAT, NTFS or ext4: from
FAT32 many systems run no programs.`

const importLong = `Take in what was acquired with USB kits: DIR is the folder of the kit on the stick, or the
folder that hozen-agent acquire --out wrote; ZIP is such a folder, packed.

Every byte is checked. What is in order is taken in; what was altered, is missing or does not
belong there is named and left (exit code 9). The same stick again changes nothing.

Give the receipt code that the person wrote on paper: it shows that what is on the stick is what
was acquired then. What was not acquired with a kit of this collector is taken in only with
--accept-foreign and --incident.`

func (c *cli) kitCmd() *cobra.Command {
	return group("kit", "Make USB kits for PCs without agent or network", c.kitBuildCmd())
}

func (c *cli) kitBuildCmd() *cobra.Command {
	in := localapi.KitOrder{}
	var agents string
	cmd := &cobra.Command{Use: "build DIR", Short: "Make a USB kit in a folder", Long: kitLong, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Language = string(c.text.Language())
			return c.buildKit(cmd.Context(), args[0], agents, in)
		}}
	cmd.Flags().StringVar(&in.Incident, "incident", "", "the incident that the evidence will belong to")
	cmd.Flags().StringVar(&in.Profile, "profile", "volatile", "what is acquired")
	cmd.Flags().StringVar(&agents, "agents", "", "`folder` with the programs")
	return cmd
}

// program is a program that goes into a kit.
type program struct {
	usbkit.File
	from string
}

// kitPrograms are the names under which programs are looked for.
func kitPrograms() map[string][]string {
	return map[string][]string{
		usbkit.LinuxAgent:   {usbkit.LinuxAgent, "hozen-agent-linux-amd64", "linux-amd64/hozen-agent"},
		usbkit.WindowsAgent: {usbkit.WindowsAgent, "hozen-agent-windows-amd64.exe", "windows-amd64/hozen-agent.exe"},
	}
}

// findPrograms finds the programs of a kit in the first folder that has each.
func (c *cli) findPrograms(folder string) (found []program, looked []string, err error) {
	if folder != "" {
		looked = []string{folder}
	} else {
		looked = []string{filepath.Join(c.data, "packages")}
		if exe, err := os.Executable(); err == nil {
			looked = append(looked, filepath.Dir(exe))
		}
	}
	for _, name := range []string{usbkit.LinuxAgent, usbkit.WindowsAgent} {
	search:
		for _, dir := range looked {
			for _, n := range kitPrograms()[name] {
				path := filepath.Join(dir, filepath.FromSlash(n))
				if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err != nil && folder == "" {
					continue
				}
				if err := checkProgram(path, name); err != nil {
					return nil, looked, fmt.Errorf("%s: %w", path, err)
				}
				found = append(found, program{usbkit.File{Name: name}, path})
				break search
			}
		}
	}
	return found, looked, nil
}

// checkProgram refuses what would not run on the PC: another program, another processor, or
// one that needs libraries.
func checkProgram(path, name string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	if info.Path != "hozen/agent" {
		return fmt.Errorf("it is %.60q, not hozen-agent", info.Path)
	}
	if name == usbkit.WindowsAgent {
		f, err := pe.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
			return errors.New("it is not for amd64")
		}
		return nil
	}
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return errors.New("it is not for amd64")
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("it needs libraries of the system; build it with CGO_ENABLED=0")
	}
	return nil
}

// builtKit is what is printed of a kit.
type builtKit struct {
	Dir    string     `json:"dir"`
	SHA256 string     `json:"sha256"` // of kit.json
	Kit    usbkit.Kit `json:"kit"`
}

func (c *cli) buildKit(ctx context.Context, dir, agents string, in localapi.KitOrder) (err error) {
	programs, looked, err := c.findPrograms(agents)
	if err != nil {
		return &usageError{err}
	}
	if len(programs) == 0 {
		return &hinted{fmt.Errorf("no hozen-agent to put into the kit; looked in %s", strings.Join(looked, ", ")), "kit.no_agents"}
	}
	w := &kitWriter{dir: dir}
	if err := w.begin(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.discard())
		}
	}()
	for i := range programs {
		p := &programs[i]
		if p.SHA256, p.Size, err = w.copyFile(p.Name, p.from); err != nil {
			return err
		}
		in.Agents = append(in.Agents, p.File)
	}
	var made localapi.Kit
	if err := c.call(ctx, "kit.build", in, &made); err != nil {
		return err
	}
	for name, b := range made.Files {
		if filepath.Base(name) != name {
			return fmt.Errorf("make kit: the collector names a file %.60q", name)
		}
		mode := fs.FileMode(0o644)
		if name == "start.sh" {
			mode = 0o755
		}
		if err := w.write(name, b, mode); err != nil {
			return err
		}
	}
	if err := w.check(made.Kit); err != nil {
		return err
	}
	return c.print(builtKit{dir, made.SHA256, made.Kit}, func() {
		c.say("kit.built", "dir", dir, "kit", made.Kit.KitID)
		for _, name := range []string{usbkit.LinuxAgent, usbkit.WindowsAgent} {
			if !slices.ContainsFunc(programs, func(p program) bool { return p.Name == name }) {
				c.say("kit.without", "name", name, "folder", looked[0])
			}
		}
		if len(made.Kit.Recipients) == 0 {
			c.say("kit.not_sealed")
		}
		c.say("kit.built.next", "manual", filepath.Join(dir, "MANUAL-"+made.Kit.Language+".html"), "dir", dir)
	})
}

// kitWriter lays a kit into a folder. It renames nothing, for file systems of sticks cannot
// do that without replacing.
type kitWriter struct {
	dir    string
	newDir bool
	made   []string
}

// begin makes the folder and refuses to write over an earlier kit.
func (w *kitWriter) begin() error {
	if _, err := os.Stat(w.dir); errors.Is(err, fs.ErrNotExist) {
		w.newDir = true
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return fmt.Errorf("make kit: %w", err)
	}
	for _, n := range []string{usbkit.DocumentFile, usbkit.ResultsDir, usbkit.LinuxAgent, usbkit.WindowsAgent} {
		if _, err := os.Lstat(filepath.Join(w.dir, n)); err == nil {
			return &usageError{fmt.Errorf("%s is there already; give a new folder, and keep the results of an earlier kit", filepath.Join(w.dir, n))}
		}
	}
	return nil
}

func (w *kitWriter) copyFile(name, from string) (sha256 string, size int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", 0, fmt.Errorf("make kit: %w", err)
	}
	defer in.Close()
	sum := digest.NewWriter(io.Discard)
	err = w.fill(name, 0o755, io.TeeReader(in, sum))
	return sum.Sum().String(), sum.Size(), err
}

func (w *kitWriter) write(name string, b []byte, mode fs.FileMode) error {
	return w.fill(name, mode, strings.NewReader(string(b)))
}

func (w *kitWriter) fill(name string, mode fs.FileMode, from io.Reader) error {
	path := filepath.Join(w.dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("make kit: %w", err)
	}
	w.made = append(w.made, path)
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make kit: write %s: %w", name, err)
	}
	return nil
}

// check reads everything back.
func (w *kitWriter) check(k usbkit.Kit) error {
	for _, x := range k.Files {
		f, err := os.Open(filepath.Join(w.dir, x.Name))
		if err != nil {
			return fmt.Errorf("make kit: %w", err)
		}
		d, _, err := digest.OfReader(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("make kit: read %s back: %w", x.Name, err)
		}
		if d.String() != x.SHA256 {
			return fmt.Errorf("make kit: %s came out otherwise than it was written; the stick may be broken", x.Name)
		}
	}
	return durable.SyncDir(w.dir)
}

// discard removes what was written of a kit that is not whole.
func (w *kitWriter) discard() error {
	var errs []error
	for _, n := range w.made {
		errs = append(errs, os.Remove(n))
	}
	if w.newDir {
		errs = append(errs, os.Remove(w.dir))
	}
	return errors.Join(errs...)
}
