// Package records reads the records of an input file one by one, as something
// to publish: rows of a csv file as JSON objects, lines of a jsonl file, or the
// whole file as it is.
//
// One bad record never stops the others. [Reader.Next] returns it as a
// [*MalformedError], and the call after that goes on with the next record:
//
//	for {
//		record, err := r.Next()
//		var bad *records.MalformedError
//		switch {
//		case errors.Is(err, io.EOF):
//			return nil
//		case errors.As(err, &bad):
//			report(bad)
//		case err != nil:
//			return err // the file itself
//		default:
//			publish(record)
//		}
//	}
//
// Each record has an ID that is the same whenever the same file is read again,
// so that publishing it twice stores it once. What is held in memory is bounded
// by [MaxRecordBytes], whatever the file holds.
package records
