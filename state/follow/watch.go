package follow

import (
	"slices"
)

// rounds is how often the paths are resolved again because setting watches took
// time in which they may have come to lead elsewhere.
const rounds = 4

// watchAll watches every folder that the paths depend on, and no other. What
// happens after a watch was set causes an event; what happened before is seen by
// the survey that it returns, which is made when all watches stand.
func (r *runner) watchAll() *survey {
	s := newSurvey(r.paths)
	for range rounds {
		if !r.watch(s) {
			break
		}
		s = newSurvey(r.paths)
	}
	return s
}

// watch reports whether it set a new watch.
func (r *runner) watch(s *survey) (news bool) {
	if r.watcher == nil {
		w, err := r.open()
		if err != nil {
			r.goBlind("inotify does not work, looking at the files every second instead", err)
			return false
		}
		r.watcher = w
	}
	r.unwatch(s)
	var failed error
	for folder, id := range s.folders {
		if _, ok := r.folders[folder]; ok {
			continue
		}
		if err := r.watcher.Add(folder); err != nil {
			failed = err
			continue
		}
		r.folders[folder] = id
		news = true
	}
	if failed != nil {
		r.goBlind("a folder cannot be watched, looking at the files every second instead", failed)
		return news
	}
	if r.blind {
		r.log.Info("inotify works again")
	}
	r.blind = false
	return news
}

// unwatch forgets watches that nobody needs, that the kernel has dropped, and
// that stand on another folder than the one that has the name now.
func (r *runner) unwatch(s *survey) {
	list := r.watcher.WatchList()
	for folder, id := range r.folders {
		alive := slices.Contains(list, folder)
		if alive && s.folders[folder] == id {
			continue
		}
		if alive {
			_ = r.watcher.Remove(folder) // gone by itself is as good
		}
		delete(r.folders, folder)
	}
}

// goBlind says once that inotify is no help.
func (r *runner) goBlind(message string, err error) {
	if !r.blind {
		r.log.Warn(message, "error", err)
	}
	r.blind = true
}
