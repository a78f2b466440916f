// Package jsonedit reads and sets single keys of a JSON document and leaves
// every other byte of it as it is: comments, order, indentation, line ends.
// It works on bytes and knows nothing of files.
//
// A document may hold comments and trailing commas, and begin with a byte
// order mark. It is checked from end to end before it is read or changed.
// What cannot be changed safely is an error, never a wrong result.
package jsonedit
