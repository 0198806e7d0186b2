"""The OpenAPI document, completed, and Swagger UI."""
