package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The link, within a volume of files, to the folder that has them now.
const current = "..data"

// The folder of a volume, which containers see.
func (p *pod) volumeFolder(name string) string { return filepath.Join(p.folder, "volumes", name) }

// What a ConfigMap or Secret says is not for a container to change.
func (p *pod) volumeIsReadOnly(name string) bool {
	for _, volume := range p.object.Spec.Volumes {
		if volume.Name == name {
			return volume.ConfigMap != nil || volume.Secret != nil
		}
	}
	return false
}

// writeVolumes makes the pod's volumes, or renews those that show what others write.
func (p *pod) writeVolumes(ctx context.Context) error {
	for _, volume := range p.object.Spec.Volumes {
		if err := p.writeVolume(ctx, &volume); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

func (p *pod) writeVolume(ctx context.Context, volume *core.Volume) error {
	folder := p.volumeFolder(volume.Name)
	switch {
	case volume.ConfigMap != nil:
		of := volume.ConfigMap
		data, err := p.configMap(ctx, of.Name, of.Optional)
		if err != nil {
			return err
		}
		return p.writeFiles(folder, data, of.Items, *of.DefaultMode, isTrue(of.Optional))
	case volume.Secret != nil:
		of := volume.Secret
		data, err := p.secret(ctx, of.SecretName, of.Optional)
		if err != nil {
			return err
		}
		return p.writeFiles(folder, data, of.Items, *of.DefaultMode, isTrue(of.Optional))
	}
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if volume.PersistentVolumeClaim != nil {
		path, err := p.claimed(ctx, volume.PersistentVolumeClaim.ClaimName)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(path, folder); err != nil {
			return err
		}
	} else if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return p.give(folder, 0o777|os.ModeDir)
}

// claimed is where a claimed volume lies, which can only be a folder of this node.
func (p *pod) claimed(ctx context.Context, name string) (string, error) {
	claim, err := p.node.client.CoreV1().PersistentVolumeClaims(p.object.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	volume, err := p.node.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, meta.GetOptions{})
	if err != nil {
		return "", err
	}
	if volume.Spec.Local == nil {
		return "", fmt.Errorf("%s is not local", volume.Name)
	}
	return volume.Spec.Local.Path, nil
}

// give sets the mode of a file or folder, and lets the pod's fsGroup do what its owner may.
func (p *pod) give(path string, mode os.FileMode) error {
	if context := p.object.Spec.SecurityContext; context != nil && context.FSGroup != nil {
		if err := os.Chown(path, 0, int(*context.FSGroup)); err != nil {
			return err
		}
		mode |= mode >> 3 & 0o070
		if mode.IsDir() {
			mode |= os.ModeSetgid
		}
	}
	return os.Chmod(path, mode)
}

// writeFiles writes a file for each key, or for those that items choose, under the paths that
// these say. All change at once: files are links into a folder, and the link to it is replaced.
func (p *pod) writeFiles(folder string, data map[string]string, items []core.KeyToPath, mode int32, optional bool) error {
	files, modes := data, map[string]os.FileMode{}
	if len(items) > 0 {
		files = map[string]string{}
		for _, item := range items {
			text, known := data[item.Key]
			if !known {
				if optional {
					continue
				}
				return fmt.Errorf("there is no key %q", item.Key)
			}
			files[item.Path] = text
			if item.Mode != nil {
				modes[item.Path] = os.FileMode(*item.Mode)
			}
		}
	}
	before, _ := os.Readlink(filepath.Join(folder, current)) // none at first
	if before != "" && p.written[folder] != nil && maps.Equal(p.written[folder], files) {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	now := ".." + time.Now().UTC().Format("2006_01_02_15_04_05.000000000")
	if err := os.Mkdir(filepath.Join(folder, now), 0o755); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(folder, now, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		own, ok := modes[name]
		if !ok {
			own = os.FileMode(mode)
		}
		if err := p.give(path, own); err != nil {
			return err
		}
	}
	if err := os.Symlink(now, filepath.Join(folder, "..new")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(folder, "..new"), filepath.Join(folder, current)); err != nil {
		return err
	}
	if before != "" {
		if err := os.RemoveAll(filepath.Join(folder, before)); err != nil {
			return err
		}
	}
	p.written[folder] = files
	return link(folder, files)
}

// link shows what the current folder has, and no more, in the volume's.
func link(folder string, files map[string]string) error {
	tops := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		tops[top] = true
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case tops[name]:
			delete(tops, name)
		case !strings.HasPrefix(name, ".."):
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				return err
			}
		}
	}
	for name := range tops {
		if err := os.Symlink(filepath.Join(current, name), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}
