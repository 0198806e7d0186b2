"""The processes, sockets and connections below the application."""
