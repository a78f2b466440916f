// Package storm kills, stops, and cuts off replicas of a collector, and the
// database below them, while reports arrive. It runs the program that users run,
// on PostgreSQL. It has tests only.
package storm
