# A parameterized batch job: each dispatch is one instance, and over when it leaves. Needs Nomad 1.4 (nomadVar).
job "pullproxy-app" {
  type = "batch"
  # Yours. Before Nomad 1.5 there is no default.
  datacenters = ["dc1"]

  parameterized {
    meta_required = ["start_id", "route"]
    # Empty where the route has no keys.
    meta_optional = ["key", "slug"]
  }

  meta {
    key  = ""
    slug = ""
  }

  group "instance" {
    # An instance that fails is not started again here: the scaler starts what is needed, and sees that it failed.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "linker" {
      driver       = "docker"
      kill_timeout = "45s"

      config {
        image = "pullproxy"
        args  = ["linker", "--", "node", "deploy/examples/demo-app.mjs"]
      }

      env {
        PULLPROXY_PROXY       = "pullproxy-nodes.service.consul:9080"
        PULLPROXY_ROUTE       = "${NOMAD_META_route}"
        PULLPROXY_KEY         = "${NOMAD_META_key}"
        PULLPROXY_START_ID    = "${NOMAD_META_start_id}"
        PULLPROXY_CONCURRENCY = "2"
      }

      # The secret, from Nomad's own variables (nomad var put nomad/jobs/pullproxy-app secret=...).
      template {
        destination = "secrets/linker.env"
        env         = true
        data        = <<EOT
{{ with nomadVar "nomad/jobs/pullproxy-app" }}PULLPROXY_SECRET={{ .secret }}{{ end }}
EOT
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
