package ergon_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	lessons = "docs/reference/lessons.md"
	traps   = 16 // rows of the table of traps
)

// lessonNumbers are those of delivery, shutdown, connections, order and memory.
var lessonNumbers = func() (all []int) {
	for _, span := range [][2]int{{1, 11}, {14, 16}, {23, 33}, {37, 45}} {
		for n := span[0]; n <= span[1]; n++ {
			all = append(all, n)
		}
	}
	return all
}()

// lessonsOwedBy are the parts still to come that may owe a lesson.
var lessonsOwedBy = []string{"lanes", "telemetry", "HTTP", "explain"}

// TestLessons: each lesson has its row, and each test that a row names exists.
func TestLessons(t *testing.T) {
	page, err := os.ReadFile(lessons)
	require.NoError(t, err)
	tests, err := testsBelow(os.DirFS("."))
	require.NoError(t, err)
	for _, fault := range checkLessons(string(page), tests) {
		t.Error(fault)
	}
}

// TestLessonsBite shows that the check can fail.
func TestLessonsBite(t *testing.T) {
	tests := map[string]string{"bus.TestGood": `t.Run("a case", …)`, "bus.TestLesson99NoRow": ""}
	var page strings.Builder
	page.WriteString("## Lessons\n\n| | The hurt | What | Where |\n|---|---|---|---|\n")
	for _, n := range lessonNumbers {
		where := "`bus.TestGood/a case`"
		switch n {
		case 1:
			continue
		case 2:
			where = "`bus.TestGone`"
		case 3:
			where = "nowhere"
		case 4:
			where = "owed: the moon"
		case 5:
			where = "owed: lanes"
		case 6:
			where = "does not apply: no"
		case 7:
			where = "does not apply: there is nothing that could"
		case 8:
			fmt.Fprintf(&page, "| %d | twice | what | %s |\n", n, where)
		case 9:
			where += " | too much"
		}
		fmt.Fprintf(&page, "| %d | hurt | what | %s |\n", n, where)
	}
	page.WriteString("| 12 | hurt | what | `bus.TestGood` |\n")
	page.WriteString("\n## Traps in the code of others\n\n| Where | Trap | What | Where |\n|---|---|---|---|\n| there | trap | what | `bus.TestGone` |\n")
	require.Equal(t, []string{
		"lesson 2: there is no test bus.TestGone",
		"lesson 3: it names no test, and is neither owed nor said not to apply",
		`lesson 4: "the moon" is no part still to come: [lanes telemetry HTTP explain]`,
		`lesson 6: "no" is not a reason`,
		"lesson 8: it has two rows",
		"lesson 9: a row has 4 cells, and this one 5",
		"lesson 12: there is no such lesson here",
		"lesson 1: it has no row",
		"there: there is no test bus.TestGone",
		"traps: there are 16, and 1 have a row",
		"bus.TestLesson99NoRow: no row names it",
	}, checkLessons(page.String(), tests))
}

// checkLessons returns all that is wrong with the page. tests are the sources of
// all tests by their name.
func checkLessons(page string, tests map[string]string) (faults []string) {
	fault := func(who, format string, a ...any) { faults = append(faults, who+": "+fmt.Sprintf(format, a...)) }
	tables := tablesOf(page)
	seen := map[int]bool{}
	for _, row := range tables["Lessons"] {
		who := "lesson " + row[0]
		n, err := strconv.Atoi(row[0])
		switch {
		case err != nil || !slices.Contains(lessonNumbers, n):
			fault(who, "there is no such lesson here")
			continue
		case seen[n]:
			fault(who, "it has two rows")
			continue
		}
		seen[n] = true
		checkLesson(who, row, tests, fault)
	}
	for _, n := range lessonNumbers {
		if !seen[n] {
			fault(fmt.Sprintf("lesson %d", n), "it has no row")
		}
	}
	others := tables["Traps in the code of others"]
	for _, row := range others {
		checkLesson(row[0], row, tests, fault)
	}
	if len(others) != traps {
		fault("traps", "there are %d, and %d have a row", traps, len(others))
	}
	for name := range tests { // one that is named after a lesson and not in the table
		if strings.Contains(name, ".TestLesson") && !strings.HasPrefix(name, "ergon.") && !strings.Contains(page, "`"+name+"`") {
			fault(name, "no row names it")
		}
	}
	return faults
}

func checkLesson(who string, row []string, tests map[string]string, fault func(string, string, ...any)) {
	if len(row) != 4 {
		fault(who, "a row has 4 cells, and this one %d", len(row))
		return
	}
	named := checkTests(who, row[3], tests, fault)
	if why, ok := strings.CutPrefix(row[3], "does not apply: "); ok {
		if len(strings.Fields(why)) < 3 {
			fault(who, "%q is not a reason", why)
		}
		return
	}
	if part, ok := strings.CutPrefix(row[3], "owed: "); ok {
		if !slices.ContainsFunc(lessonsOwedBy, func(known string) bool { return strings.HasPrefix(part, known) }) {
			fault(who, "%q is no part still to come: %v", part, lessonsOwedBy)
		}
		return
	}
	if named == 0 {
		fault(who, "it names no test, and is neither owed nor said not to apply")
	}
}
