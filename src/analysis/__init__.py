"""Reading results: statistics, tables, figures, the report page, the checked theory."""
