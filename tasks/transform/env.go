package transform

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// The variables of an expression.
const (
	varPayload   = "payload"
	varMetadata  = "metadata"
	varID        = "id"
	varSource    = "source"
	varKey       = "key"
	varCreatedAt = "created_at"
)

// interruptEvery is after how many steps of a loop an evaluation looks whether
// its attempt has ended.
const interruptEvery = 100

// newEnv is the language: CEL's standard library, optional values, and the
// extensions that depend on nothing but their arguments.
func newEnv() (*cel.Env, error) {
	return cel.NewCustomEnv(append(standard(),
		cel.CustomTypeAdapter(adapter{}),
		cel.Variable(varPayload, cel.DynType),
		cel.Variable(varMetadata, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(varID, cel.StringType),
		cel.Variable(varSource, cel.StringType),
		cel.Variable(varKey, cel.StringType),
		cel.Variable(varCreatedAt, cel.TimestampType),
		cel.OptionalTypes(),
		cel.DefaultUTCTimeZone(true),
		ext.Strings(), ext.Math(), ext.Lists(ext.ListsMaxRangeSize(maxRange)), ext.Sets(), ext.Regex(), ext.Bindings(),
		ext.Encoders(ext.EncodersVersion(0)), // base64 alone: later ones read JSON and YAML, with numbers of their own
		// Its result may be longer than what it is given by more than can be foreseen.
		cel.Function("regex.replace", cel.DisableDeclaration(true),
			cel.Overload("regex_replace_string_string_string", []*cel.Type{cel.StringType, cel.StringType, cel.StringType}, cel.StringType)),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	)...)
}

// planMaps makes the maps that an expression writes down iterate in the order of
// their keys: Go's maps have none. One of constants is made once.
func planMaps(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	c, ok := i.(interpreter.InterpretableConstructor)
	if !ok || c.Type() != types.MapType {
		return i, nil
	}
	constant := !slices.ContainsFunc(c.InitVals(), func(v interpreter.InterpretableV2) bool {
		_, ok := v.(interpreter.InterpretableConst)
		return !ok
	})
	m := &sortedMap{i}
	if !constant {
		return m, nil
	}
	v := m.Eval(interpreter.EmptyActivation())
	if types.IsUnknownOrError(v) {
		return m, nil // it is an error of the transaction that gets there
	}
	return interpreter.NewConstValue(i.ID(), v), nil
}

type sortedMap struct{ interpreter.InterpretableV2 }

func (m *sortedMap) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return inOrder(m.InterpretableV2.Exec(frame))
}

func (m *sortedMap) Eval(vars interpreter.Activation) ref.Val {
	return inOrder(m.InterpretableV2.Eval(vars))
}
