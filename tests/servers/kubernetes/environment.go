package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type variable struct{ name, value string }

// environment is what a container is told: later ones hide earlier ones of the same name.
func (p *pod) environment(ctx context.Context, c *core.Container) ([]variable, error) {
	hostname := p.object.Spec.Hostname
	if hostname == "" {
		hostname = p.object.Name
	}
	all := []variable{{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"HOSTNAME", hostname}}
	for _, source := range c.EnvFrom {
		var data map[string]string
		var err error
		switch {
		case source.ConfigMapRef != nil:
			data, err = p.configMap(ctx, source.ConfigMapRef.Name, source.ConfigMapRef.Optional)
		case source.SecretRef != nil:
			data, err = p.secret(ctx, source.SecretRef.Name, source.SecretRef.Optional)
		}
		if err != nil {
			return nil, err
		}
		for name, value := range data {
			all = with(all, source.Prefix+name, value)
		}
	}
	for _, env := range c.Env {
		value, known := expand(env.Value, all), true
		if env.ValueFrom != nil {
			var err error
			if value, known, err = p.valueFrom(ctx, env.ValueFrom); err != nil {
				return nil, fmt.Errorf("%s: %w", env.Name, err)
			}
		}
		if known {
			all = with(all, env.Name, value)
		}
	}
	return all, nil
}

func with(all []variable, name, value string) []variable {
	at := slices.IndexFunc(all, func(v variable) bool { return v.name == name })
	if at < 0 {
		return append(all, variable{name, value})
	}
	all[at].value = value
	return all
}

// valueFrom follows a reference; an optional one may lead nowhere.
func (p *pod) valueFrom(ctx context.Context, source *core.EnvVarSource) (value string, known bool, err error) {
	var data map[string]string
	var key string
	var optional *bool
	switch {
	case source.FieldRef != nil:
		value, err = p.field(source.FieldRef.FieldPath)
		return value, true, err
	case source.SecretKeyRef != nil:
		key, optional = source.SecretKeyRef.Key, source.SecretKeyRef.Optional
		data, err = p.secret(ctx, source.SecretKeyRef.Name, optional)
	case source.ConfigMapKeyRef != nil:
		key, optional = source.ConfigMapKeyRef.Key, source.ConfigMapKeyRef.Optional
		data, err = p.configMap(ctx, source.ConfigMapKeyRef.Name, optional)
	default:
		return "", false, fmt.Errorf("its source is not known here")
	}
	if err != nil {
		return "", false, err
	}
	value, known = data[key]
	if !known && !isTrue(optional) {
		return "", false, fmt.Errorf("there is no key %q", key)
	}
	return value, known, nil
}

func isTrue(flag *bool) bool { return flag != nil && *flag }

var ofMap = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

func (p *pod) field(path string) (string, error) {
	object := p.object
	if match := ofMap.FindStringSubmatch(path); match != nil {
		return map[string]map[string]string{"labels": object.Labels, "annotations": object.Annotations}[match[1]][match[2]], nil
	}
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return p.address, nil
	case "status.hostIP", "status.hostIPs":
		return hostIP, nil
	}
	return "", fmt.Errorf("field %q is not known here", path)
}

// configMap is the text of a ConfigMap; nothing where it is optional and missing.
func (p *pod) configMap(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	object, err := p.node.client.CoreV1().ConfigMaps(p.object.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	data := map[string]string{}
	for key, value := range object.BinaryData {
		data[key] = string(value)
	}
	for key, value := range object.Data {
		data[key] = value
	}
	return data, nil
}

func (p *pod) secret(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	object, err := p.node.client.CoreV1().Secrets(p.object.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, unlessOptional(err, optional)
	}
	data := map[string]string{}
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return data, nil
}

func unlessOptional(err error, optional *bool) error {
	if errors.IsNotFound(err) && isTrue(optional) {
		return nil
	}
	return err
}

// expand replaces $(NAME) by the variable where there is one; $$ is a dollar.
func expand(text string, variables []variable) string {
	var out strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:at])
		text = text[at:]
		end := strings.IndexByte(text, ')')
		switch {
		case text[1] == '$':
			out.WriteByte('$')
			text = text[2:]
		case text[1] == '(' && end > 0:
			known := slices.IndexFunc(variables, func(v variable) bool { return v.name == text[2:end] })
			if known < 0 {
				out.WriteString(text[:end+1])
			} else {
				out.WriteString(variables[known].value)
			}
			text = text[end+1:]
		default:
			out.WriteString(text[:1])
			text = text[1:]
		}
	}
}

func expandAll(texts []string, variables []variable) []string {
	all := make([]string, 0, len(texts))
	for _, text := range texts {
		all = append(all, expand(text, variables))
	}
	return all
}
