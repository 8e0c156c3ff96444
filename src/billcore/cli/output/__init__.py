"""What people see: tables and pages for each noun, made with rich, which is imported only here."""
