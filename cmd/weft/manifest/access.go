package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	manifests "weft/examples/kubernetes"
)

// accessObjects grants what this configuration uses. Where only some namespaces
// are watched, a Role in each takes the place of the ClusterRole for what is in
// them.
func accessObjects(o Options) ([]any, error) {
	all, err := documents(manifests.Access)
	if err != nil {
		return nil, err
	}
	if len(all) != 3 {
		return nil, fmt.Errorf("read manifest: %d objects for access, want a ServiceAccount, a ClusterRole and a ClusterRoleBinding", len(all))
	}
	var role rbacv1.ClusterRole
	var binding rbacv1.ClusterRoleBinding
	if err := errors.Join(convert(all[1], &role), convert(all[2], &binding)); err != nil {
		return nil, err
	}
	if !o.Events {
		role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return r.Resources[0] == "events" })
	}
	if len(o.Namespaces) == 0 {
		return []any{all[0], role, binding}, nil
	}
	global, local := divide(role.Rules)
	role.Rules = global
	all = []any{all[0], role, binding}
	for _, namespace := range slices.Sorted(slices.Values(o.Namespaces)) {
		all = append(all, roleIn(namespace, role, local), bindingIn(namespace, binding))
	}
	return all, nil
}

func convert(document, into any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	return nil
}

// divide tells what is in no namespace from what is in one.
func divide(rules []rbacv1.PolicyRule) (global, local []rbacv1.PolicyRule) {
	everywhere := func(resource string) bool { return resource == "nodes" || resource == "servicecidrs" }
	for _, r := range rules {
		g, l := *r.DeepCopy(), *r.DeepCopy()
		g.Resources = slices.DeleteFunc(g.Resources, func(s string) bool { return !everywhere(s) })
		l.Resources = slices.DeleteFunc(l.Resources, everywhere)
		if len(g.Resources) > 0 {
			global = append(global, g)
		}
		if len(l.Resources) > 0 {
			local = append(local, l)
		}
	}
	return global, local
}

func roleIn(namespace string, of rbacv1.ClusterRole, rules []rbacv1.PolicyRule) rbacv1.Role {
	role := rbacv1.Role{TypeMeta: of.TypeMeta, ObjectMeta: *of.ObjectMeta.DeepCopy(), Rules: rules}
	role.Kind, role.Namespace = "Role", namespace
	return role
}

func bindingIn(namespace string, of rbacv1.ClusterRoleBinding) rbacv1.RoleBinding {
	binding := rbacv1.RoleBinding{TypeMeta: of.TypeMeta, ObjectMeta: *of.ObjectMeta.DeepCopy(), Subjects: of.Subjects, RoleRef: of.RoleRef}
	binding.Kind, binding.Namespace, binding.RoleRef.Kind = "RoleBinding", namespace, "Role"
	return binding
}
