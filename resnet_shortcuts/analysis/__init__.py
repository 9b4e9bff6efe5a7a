"""From stored runs to an answer: statistics, verdicts, tables, figures and the report. Reads results, never trains."""
