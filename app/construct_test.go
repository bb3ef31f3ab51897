package app_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	svc "github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

var errCtor = errors.New("no file")

// depot is a service; key and lock are what nobody provides.
type (
	depot struct{ part }
	key   struct{}
	lock  struct{}
)

func newFailing() (*depot, error)                      { return nil, errCtor }
func newPanicking() *depot                             { panic(errCtor) }
func newNeedy(*pool) *depot                            { return nil }
func newNeedier(key, *lock) *depot                     { return nil }
func newAbove(*depot) *geo                             { return nil }
func newSetFailing(svc.Setup[spec.KV]) (*depot, error) { return nil, errCtor }
func newSetPanicking(svc.Setup[spec.KV]) *depot        { panic("boom") }
func newSetNeedy(svc.Setup[spec.KV], key) *depot       { return nil }
func newTask(*depot) app.Task                          { return app.Task{} }
func newFailingTask() (app.Task, error)                { return app.Task{}, errCtor }
func newPanickingTask() app.Task                       { panic(`a "quoted" one`) }

// What could not be made is said of the function that its user wrote, wherever it stands
// among those that need it, and without the container's account of it.
func TestConstructorErrors(t *testing.T) {
	const by = "service app_test.depot: its constructor "
	for _, c := range []struct {
		module fx.Option
		want   string
		is     error
	}{
		{app.Service(newFailing), by + "app_test.newFailing (construct_test.go) failed: no file", errCtor},
		{app.Service(newPanicking), by + "app_test.newPanicking (construct_test.go) panicked: no file", errCtor},
		{app.Service(newNeedy), by + "app_test.newNeedy (construct_test.go) needs *app_test.pool, and no module provides one", nil},
		{fx.Options(app.Service(newAbove), app.Service(newNeedy)), by + "app_test.newNeedy (construct_test.go) needs *app_test.pool, and no module provides one", nil},
		{app.NamedService(`the "depot"`, newNeedier), `service the "depot": its constructor app_test.newNeedier (construct_test.go) needs ` +
			"app_test.key, and no module provides one; and *app_test.lock, and no module provides one", nil},
		{app.Configured("d", newSetFailing), "service d: its constructor app_test.newSetFailing (construct_test.go) failed: no file", errCtor},
		{app.Configured("d", newSetPanicking), "service d: its constructor app_test.newSetPanicking (construct_test.go) panicked: boom", nil},
		{app.Configured("d", newSetNeedy), "service d: its constructor app_test.newSetNeedy (construct_test.go) needs app_test.key, and no module provides one", nil},
		{app.Tasks(newTask), "app_test.newTask (construct_test.go) needs *app_test.depot, and no module provides one", nil},
		{app.Tasks(newFailingTask), "app_test.newFailingTask (construct_test.go) failed: no file", errCtor},
		{app.Tasks(newPanickingTask), `app_test.newPanickingTask (construct_test.go) panicked: a "quoted" one`, nil},
		{fx.Options(fx.Provide(newFailing), app.Tasks(newTask)), "app_test.newFailing (construct_test.go) failed: no file", errCtor},
	} {
		opts, task := held1(t)
		opts.Config.Services = map[string]spec.Service{"d": {KV: &spec.KV{Bucket: "D"}}}
		err := fx.New(task, c.module, app.Module, fx.Supply(opts), fx.NopLogger, fx.RecoverFromPanics()).Err()
		require.Error(t, err, c.want)
		got := app.Explain(err)
		require.IsType(t, &app.ConstructorError{}, got, c.want)
		require.Equal(t, c.want, regexp.MustCompile(`\.go:\d+\)`).ReplaceAllString(got.Error(), ".go)"))
		if c.is != nil {
			require.ErrorIs(t, got, c.is)
		}
	}
	require.Equal(t, errCtor, app.Explain(errCtor), "what the container has no part in is left alone")
	require.NoError(t, app.Explain(nil))
}
