package page

import (
	"fmt"
	"html/template"
	"strings"
	"testing"
	"text/template/parse"
)

func execute(t *testing.T, templates *template.Template, name string, data any) string {
	t.Helper()
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStates(t *testing.T) {
	templates := template.Must(parseTemplates())
	for _, tt := range states {
		t.Run(tt.name, func(t *testing.T) {
			s := working()
			tt.change(&s)
			got := execute(t, templates, "page.html", newView("Example", s.notice, &s.status, s.glance, now))
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got no %q in\n%s", want, got)
				}
			}
			for _, unwanted := range append(tt.without, "<no value>", "ZgotmplZ", "%!") {
				if strings.Contains(got, unwanted) {
					t.Errorf("got %q in\n%s", unwanted, got)
				}
			}
		})
	}
}

// The states execute every branch of every template, so none fails for the
// first time in front of an operator.
func TestEveryBranch(t *testing.T) {
	templates := template.Must(parseTemplates())
	var marks []string
	for _, tmpl := range templates.Templates() {
		if tmpl.Tree != nil {
			marks = mark(tmpl.Tree.Root, tmpl.Name(), marks)
		}
	}
	if len(marks) < 80 {
		t.Errorf("got %d branches, want those of all templates", len(marks))
	}
	var all strings.Builder
	for _, tt := range states {
		s := working()
		tt.change(&s)
		all.WriteString(execute(t, templates, "page.html", newView("Example", s.notice, &s.status, s.glance, now)))
	}
	limited := working()
	all.WriteString(execute(t, templates, "page.html", newView("Example", nil, &limited.status, limited.glance, now).limitedTo(MayDeny, "Sign in.")))
	all.WriteString(execute(t, templates, "page.html", newView("", nil, nil, glance{}, now)))
	all.WriteString(execute(t, templates, "foreign.html", view{Title: "Elsewhere"}))
	running := view{Running: true, Status: working().status}
	for _, c := range []confirmation{
		{step: resetting},
		{step: resetting, view: running, Short: "0b9d6f1e...", Can: true},
		{step: resetting, view: running},
		{step: forgetting, view: running, Short: "0b9d6f1e...", Can: true},
		{step: forgetting, view: view{Running: true}, Short: "0b9d6f1e..."},
	} {
		all.WriteString(execute(t, templates, "confirm.html", c))
	}
	for _, m := range marks {
		if !strings.Contains(all.String(), m) {
			t.Errorf("never executed: %s", m)
		}
	}
}

// mark writes a mark into each branch below a node and returns all marks.
func mark(list *parse.ListNode, where string, marks []string) []string {
	if list == nil {
		return marks
	}
	begin := func(branch *parse.ListNode, what string) *parse.ListNode {
		if branch == nil {
			branch = &parse.ListNode{NodeType: parse.NodeList}
		}
		m := fmt.Sprintf(" [branch %d of %s: %s] ", len(marks), where, strings.NewReplacer(`"`, "", "<", "", "&", "").Replace(what))
		marks = append(marks, m)
		branch.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText, Text: []byte(m)}}, branch.Nodes...)
		return branch
	}
	branches := func(b *parse.BranchNode) {
		marks = mark(b.List, where, marks)
		marks = mark(b.ElseList, where, marks)
		b.List = begin(b.List, b.Pipe.String())
		if b.NodeType == parse.NodeIf || b.ElseList != nil {
			b.ElseList = begin(b.ElseList, "not "+b.Pipe.String())
		}
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.IfNode:
			branches(&n.BranchNode)
		case *parse.WithNode:
			branches(&n.BranchNode)
		case *parse.RangeNode:
			branches(&n.BranchNode)
		}
	}
	return marks
}
