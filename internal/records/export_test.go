package records

// NewReaderOfMax is NewReader with another limit than MaxRecordBytes.
var NewReaderOfMax = newReader
