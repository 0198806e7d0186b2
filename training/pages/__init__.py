"""Reports as files: templates, columns, figures."""
